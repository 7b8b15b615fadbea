/**
 * The command line: text comes in, text goes out. It may use every other package, and none may use
 * it.
 *
 * <p>Results go to stdout, progress, notes and errors to stderr. An error is one sentence that says
 * what was expected and what to do; exit codes are 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C. An
 * existing model is never replaced without {@code --force}. The progress line is our own: a library
 * would bring a terminal library with natives that it unpacks, for one line of text. Read {@link
 * org.lqf.cli.TuneCommand} first.
 */
@NullMarked
package org.lqf.cli;

import org.jspecify.annotations.NullMarked;
