/**
 * Data and a backbone come in, a {@link org.lqf.model.LinearisedModel} goes out: the LQF recipe.
 *
 * <p>The recipe: prepare the images; fit a linear probe on the pooled features and make it the head
 * (a head of zeros would leave the body without tangent features); linearise; solve the ridge
 * problem against scaled one-hot targets; certify. It may use everything below it, and nothing here
 * is needed to serve a model. Read {@link org.lqf.tune.LqfTrainer} first.
 *
 * <p>Kronecker factors are of the reduce kind: expand counts the positions of a convolution as
 * independent, so that what they do together keeps a large eigenvalue, and the stable learning rate
 * of SGD falls with it. Measured: with expand, preconditioned SGD needed more epochs than plain
 * SGD; with reduce a quarter of them (README, Numbers).
 */
@NullMarked
package org.lqf.tune;

import org.jspecify.annotations.NullMarked;
