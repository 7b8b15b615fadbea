/**
 * What JavaCPP must know at build time to generate {@link org.lqf.binding}. In comes {@code lqf.h},
 * out go rules for its types and the order in which libraries are loaded. It uses JavaCPP and the
 * OpenBLAS binding.
 */
@NullMarked
package org.lqf.binding.presets;

import org.jspecify.annotations.NullMarked;
