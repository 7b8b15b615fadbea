/**
 * Programs that the README shows, compiled and run on the tiny pair.
 *
 * <p>What stands between {@code tag::example} and {@code end::example} is in README.md, word for
 * word.
 */
@NullMarked
package org.lqf.examples;

import org.jspecify.annotations.NullMarked;
