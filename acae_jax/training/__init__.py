"""What every system trains with: one loop, checkpoints that change nothing, optimisers, logs.

A system gives the loop a `Task`; the loop gets batches from it, places them on the devices, has the
state updated, writes the log, evaluates and saves.

loop          Task and fit: the order of all that
state         the pytree that training changes
checkpoints   save, restore, start from another run's weights
layout        how checkpoints of version 0.1 lie
best          the best state by a score, kept apart
parallel      the only place that knows of several devices
optimizers    schedules, weight decay and the kernel-norm limit of the published recipe
logs          metrics.jsonl and the progress bar
goodput       where the time of a run goes
tensorboard   the rows of the log as event files
"""
