/**
 * Tests of the command line on the tiny pair: in this process, and as a process that is killed.
 *
 * <p>In come command lines and files; out go exit codes, sentences and files. It uses every other
 * package. Read {@link org.lqf.cli.Cli} first.
 */
@NullMarked
package org.lqf.cli;

import org.jspecify.annotations.NullMarked;
