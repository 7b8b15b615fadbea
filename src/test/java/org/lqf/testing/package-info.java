/**
 * What tests of several packages share.
 *
 * <p>In comes the environment of the test run; out go paths of data that is not in the repository.
 * It uses the JDK and JUnit.
 */
@NullMarked
package org.lqf.testing;

import org.jspecify.annotations.NullMarked;
