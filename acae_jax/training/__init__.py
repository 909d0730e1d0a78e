"""What every system trains with: one loop, checkpoints that change nothing, optimisers, logs.

state         the pytree that training changes
loop          Task and fit
optimizers    schedules, weight decay and the kernel-norm limit of the published recipe
parallel      the only place that knows of several devices
checkpoints   save, restore, start from another run's weights
logs          metrics.jsonl and the progress bar
tensorboard   the same rows as event files
"""
