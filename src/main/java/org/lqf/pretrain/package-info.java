/**
 * Ordinary training at the current weights, by SGD: a folder of images comes in, a {@link
 * org.lqf.model.TrainableNetwork} goes out.
 *
 * <p>It makes the networks that LQF starts from: from scratch ({@link
 * org.lqf.pretrain.Pretraining}) or leaky ones out of ReLU networks ({@link
 * org.lqf.pretrain.Adaptation}). It may use everything that {@code tune} may, {@code tune}, and the
 * losses of {@code baseline}; nothing needs it to fine-tune or to serve. Read {@link
 * org.lqf.pretrain.WeightSgd} first.
 */
@NullMarked
package org.lqf.pretrain;

import org.jspecify.annotations.NullMarked;
