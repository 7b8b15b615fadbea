/**
 * What only a linear-quadratic model can answer exactly: which images caused a prediction, what
 * would change without one, and the model that never saw it.
 *
 * <p>In come a {@link org.lqf.model.LinearisedModel}, its network and its images as floats; out go
 * records of numbers. It uses {@code org.lqf.model}, {@code engine}, {@code curvature} and {@code
 * solve}, knows no files of images and prints nothing. Read {@link org.lqf.explain.FittedModel}
 * first, then {@link org.lqf.explain.Dual}.
 *
 * <p>Conventions. Outputs are those of the network, not divided by the target scale. λ is the ridge
 * of the mean loss and μ = λN that of the summed loss; what is said of a smaller set with λ kept
 * has a smaller μ. "Retrained" means: from the same linearisation point, that is, the same backbone
 * with the same head. Sources: Achille et al. 2021 (LQF, arXiv 2012.11140), Golatkar et al. 2021
 * (mixed-privacy forgetting), Achille et al. 2022 (DIVA: leave-one-out, dataset derivative).
 */
@NullMarked
package org.lqf.explain;

import org.jspecify.annotations.NullMarked;
