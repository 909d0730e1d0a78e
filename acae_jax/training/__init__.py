"""The machinery of training, shared by all systems: the loop, checkpoints, optimisers, logs.

A system gives the loop a `Task`. The loop takes batches from the task, places them on the devices,
calls the task's update, writes the log, evaluates and saves.

loop          `Task`, and `fit`, which trains one
state         the pytree that training changes
checkpoints   save and restore a state; start from another run's weights
layout        the layout of checkpoints of version 0.1
best          the best state by a score
parallel      data parallelism over several devices
optimizers    schedules, weight decay and kernel-norm limit of the published recipe; Muon
logs          metrics.jsonl and the progress bar
goodput       how a run spends its time
tensorboard   the rows of the log as event files
"""
