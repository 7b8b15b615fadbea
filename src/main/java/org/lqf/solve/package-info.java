/**
 * Minimises the quadratic L(Δ) = 1/(2N) Σ‖f(xᵢ; w0) + JᵢΔ − yᵢ‖² + λ/2 ‖Δ‖².
 *
 * <p>In come a plan and images with targets; out goes Δ with a certificate of how near it is to the
 * one optimum. It may use {@code org.lqf.engine} and {@code org.lqf.curvature}, of {@code
 * org.lqf.model} the certificate, and knows nothing of files. Read {@link
 * org.lqf.solve.LeastSquares} first.
 *
 * <p>Which solver when: {@link org.lqf.solve.GramSolver} is exact and needs (N·C)² doubles; {@link
 * org.lqf.solve.ConjugateGradient} needs four vectors and some tens of passes over fixed images,
 * fewer with a {@link org.lqf.solve.Preconditioner}; {@link org.lqf.solve.Sgd} is the paper's and
 * the one that can follow images that change with every epoch.
 */
@NullMarked
package org.lqf.solve;

import org.jspecify.annotations.NullMarked;
