/**
 * Curvature of the quadratic problem: Kronecker factors of the Gauss-Newton matrix.
 *
 * <p>In come plans that have seen images; out goes a preconditioner for gradients. It uses {@code
 * org.lqf.engine}. Read {@link org.lqf.curvature.KroneckerFactors} first.
 */
@NullMarked
package org.lqf.curvature;

import org.jspecify.annotations.NullMarked;
