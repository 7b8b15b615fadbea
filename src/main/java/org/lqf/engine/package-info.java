/**
 * Runs a backbone and its Jacobian on a device.
 *
 * <p>In come a {@link org.lqf.model.Backbone} and images as floats; out go outputs, Jacobian
 * products and Gram matrices, all of them in vectors of the whole model that stay on the device. It
 * uses {@code org.lqf.model} and the native library through {@code org.lqf.binding}, and shows no
 * native type to its callers. Read {@link org.lqf.engine.Plan} first.
 *
 * <p>A service that computes on the same GPU passes its buffers and its stream as numbers ({@link
 * org.lqf.engine.DeviceBuffer}, {@link org.lqf.engine.DeviceStream}), which is all that a pointer
 * of the Bytedeco CUDA presets, or of any other binding, has to give: so there is no dependency on
 * the presets, whose classes do not even load where there is no driver.
 */
@NullMarked
package org.lqf.engine;

import org.jspecify.annotations.NullMarked;
