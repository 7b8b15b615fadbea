package org.lqf.curvature;

/**
 * How the positions of a convolution, which share its weights, enter its Kronecker factors.
 *
 * <p>Source: Eschenhagen et al. 2023, §3. For a linear layer both are the same.
 */
public enum Sharing {
  /** Every position counts as an example of its own. */
  EXPAND,
  /** Inputs are averaged, cotangents summed over positions first: cheaper; exact before a mean. */
  REDUCE
}
