/**
 * Serving: a backbone and its linearised model come in, class scores of images go out. It may use
 * image, model and engine; it never sees tune, so a service carries no training code.
 *
 * <p>Start reading at {@link org.lqf.predict.Classifier}.
 */
@NullMarked
package org.lqf.predict;

import org.jspecify.annotations.NullMarked;
