/**
 * The paper's experiment: LQF against non-linear fine-tuning, the linear probe, and LQF with one or
 * more of its three changes taken back.
 *
 * <p>In come backbones, images and a budget; out go test errors, one a {@link
 * org.lqf.baseline.Run}. It may use everything below {@code cli}; nothing here is needed to tune or
 * serve a model. Cross-entropy is for what is trained here and in {@code pretrain}: LQF has one
 * loss. Read {@link org.lqf.baseline.Comparison} first.
 */
@NullMarked
package org.lqf.baseline;

import org.jspecify.annotations.NullMarked;
