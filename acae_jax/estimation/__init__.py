"""The main system: from the crop of a person to 3D joints in every skeleton format, in agreement.

Its rooms, from the lowest floor up; none imports from one above it:

model              computations on devices: network, autoencoder, losses, one training step
evaluation         errors per format, disagreement between formats, pictures during training
(this folder)      the stages: from configs to tasks
reporting          a finished workflow as one page
packing            export of a trained network: from a run to the contents of a bundle
photographs        the model for photographs: heads on a published landmark network

In this folder:

initial            stage 1: separate heads (or joints merged by name)
pseudo             stage 2a: poses in all formats at once, predicted by the stage-1 model
autoencoder_stage  stage 2b: learning the autoencoder from these poses
consistency        stage 3: fine-tuning with the frozen autoencoder
building           from a config to unions, batches, networks, evaluations
schedules          from shares of all steps to numbers of steps
initial_weights    first weights of stages 1 and 3: from another run, by joint names, or a backbone
kept_inputs        copies of a run's inputs from earlier runs, so that it continues without them
stages             the stage of a run, from its config; the runs of a workflow
"""
