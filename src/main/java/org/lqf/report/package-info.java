/**
 * Pages and pictures for people: in come texts, numbers and image files, out go self-contained HTML
 * pages, contact sheets, plots and CSV files. It knows nothing of models.
 *
 * <p>It uses {@code org.lqf.image} to decode, {@code org.lqf.model.AtomicFile} to write,
 * FreeMarker, which escapes every text that goes into a page, and FastCSV. A page has no script and
 * loads nothing: its pictures are inside, and a content security policy forbids the rest. Plots are
 * inline SVG, since a plot library would bring more code than the plots have. Read {@link
 * org.lqf.report.Page} first.
 */
@NullMarked
package org.lqf.report;

import org.jspecify.annotations.NullMarked;
