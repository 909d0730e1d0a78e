"""How a trained pose network leaves: from a run, or a published model, to a bundle's contents.

runs             from the folder of a run; uses the others
architecture     what is needed to build the network again, as JSON
program          the network as a function of its weights: folded, exported, with a reference
measuring        scores and calibrated uncertainty on the run's test set; lengths of bones
bundle_contents  facts, program and weights together; skeletons; float16
imported         from a published MeTRAbs folder
leaving          from a bundle's contents to the other forms of `packaging`
pose_card        what the model card says of a pose model
"""
