"""The main system: one image crop to the 3D joints of every skeleton format, consistently.

Its rooms, from the ground up; none imports from one above it:

model              what devices compute: network, autoencoder, losses, one training step
evaluation         errors per format, disagreement between formats, pictures while training
(this folder)      the stages: from configs to tasks
reporting          a finished workflow as one page
packing            how a trained network leaves: from a run to the contents of a bundle

In this folder:

initial            stage 1: separate heads (or joints merged by name)
pseudo             stage 2a: the stage-1 model's poses in all formats at once
autoencoder_stage  stage 2b: learning the autoencoder from them
consistency        stage 3: fine-tuning with the frozen autoencoder
building           from a config to unions, batches, networks, evaluation
schedules          shares of a training's steps as numbers of steps
initial_weights    what stages 1 and 3 start from: another run, joint by joint, or a backbone
kept_inputs        what a run keeps of earlier runs, so that it continues without them
stages             what a run's config says of its stage; the runs of a workflow
"""
