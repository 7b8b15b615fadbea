package org.lqf.tune;

/** Where the new last layer starts. (Zeros are no choice: the body would have no tangents.) */
public enum Head {
  /** The ridge solution on the pooled features: the linear probe, scaled to the targets. */
  PROBE,
  /** Normal values of variance 1/features from the seed, biases 0. */
  RANDOM
}
