"""The model for photographs: heads on the frozen maps of BlazePose.

    look_record.py    what is stored of a look at a person: maps, landmarks, labels
    look_dataset.py   datasets of crops → datasets of looks, at the crops that prediction will see
    heads_stage.py    the training of the heads (`model.landmark_heads`)

The heads refine the landmarks, and every joint is an affine combination of the refined points. So
the formats agree by construction, as with the latent points of the autoencoder.
"""
