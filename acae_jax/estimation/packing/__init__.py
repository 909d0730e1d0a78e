"""Export of a pose network: from a run, or a published model, to the contents of a bundle.

runs               from the folder of a run; uses the others
architecture       the settings that are needed to build the network again, as JSON
program            the network as a function of its weights: folded, exported, with a reference
measuring          scores and calibrated uncertainty on the run's test set; lengths of bones
bundle_contents    facts, program and weights together; skeletons; float16
imported           from a published MeTRAbs folder
landmarks          the landmark network, with heads or without, as a function of its weights
landmark_contents  from landmark weights and heads
leaving            from the contents of a bundle to the other forms of `packaging`
pose_card          the model card of a pose model
"""
