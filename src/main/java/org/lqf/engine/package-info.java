/**
 * Runs a backbone and its Jacobian on a device.
 *
 * <p>In come a {@link org.lqf.model.Backbone} and images as floats; out go outputs, Jacobian
 * products and Gram matrices, all of them in vectors of the whole model that stay on the device. It
 * uses {@code org.lqf.model} and the native library through {@code org.lqf.binding}, and shows no
 * native type to its callers. Read {@link org.lqf.engine.Plan} first.
 */
@NullMarked
package org.lqf.engine;

import org.jspecify.annotations.NullMarked;
