/**
 * Data and a backbone come in, a {@link org.lqf.model.LinearisedModel} goes out: the LQF recipe.
 *
 * <p>The recipe: prepare the images; fit a linear probe on the pooled features and make it the head
 * (a head of zeros would leave the body without tangent features); linearise; solve the ridge
 * problem against scaled one-hot targets; certify. It may use everything below it, and nothing here
 * is needed to serve a model. Read {@link org.lqf.tune.LqfTrainer} first.
 */
@NullMarked
package org.lqf.tune;

import org.jspecify.annotations.NullMarked;
