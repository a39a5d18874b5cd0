"""The data set on disk: what training and evaluation may rely on."""

import numpy as np

from eddpm.artifacts import read_samples


def test_digits_are_split_into_uint8_images_with_class_names(tiny):
    train, validation = read_samples(tiny.train), read_samples(tiny.validation)
    assert (len(train.images), len(validation.images)) == (1707, 90)
    assert train.images.shape[1:] == (8, 8, 1)
    assert train.extras["classes"].tolist() == [str(k) for k in range(10)]
    assert np.bincount(validation.labels).tolist() == [9] * 10
