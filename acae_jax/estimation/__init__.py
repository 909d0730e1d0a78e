"""The main system: one image crop to the 3D joints of every skeleton format, consistently.

network            backbone and metric-scale heatmap head
objective          the pose loss on 3D and 2D labels, and the variants of consistency training
step               one training step, shared by stages 1 and 3
schedules          shares of a training's steps as numbers of steps
initial            stage 1: separate heads (or joints merged by name)
initial_weights    what stages 1 and 3 start from: another run, joint by joint, or a backbone
pseudo             stage 2a: the stage-1 model's poses in all formats at once
autoencoder_stage  stage 2b: learning the autoencoder from them
autoencoder        the affine-combining autoencoder itself
consistency        stage 3: fine-tuning with the frozen autoencoder
kept_inputs        what a run keeps of earlier runs, so that it continues without them
relations          what affine combinations can say of one format from another
evaluation         errors per format and disagreement between formats
crop_evals         evaluations on stored crops while a network trains
building           from a config to unions, batches, networks, evaluation
workflow           from the folders of a finished workflow to its results and its report
workflow_results   what a report shows; report, pictures, latent_pictures: the page itself
packing            how a trained network leaves, from a run to the contents of a bundle
"""
