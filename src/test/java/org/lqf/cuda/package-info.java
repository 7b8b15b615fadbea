/**
 * What can be read of the CUDA kernels without a GPU: budgets of the machine code that nvcc wrote.
 *
 * <p>In come the {@code .cubin} files of the build; out go counts of registers and instructions. It
 * uses the JDK only. Read {@link org.lqf.cuda.Cubin} first.
 */
@NullMarked
package org.lqf.cuda;

import org.jspecify.annotations.NullMarked;
