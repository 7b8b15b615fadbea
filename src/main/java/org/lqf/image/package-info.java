/**
 * From image files to what a network takes.
 *
 * <p>In come bytes on disk, a folder per class; out go floats [c,h,w], prepared as Pillow and
 * torchvision prepare them, and labels. It uses the JDK only: JPEG and PNG are decoded by the JDK's
 * own readers, whatever ImageIO plugins the host has registered, after everything but the pixel
 * data has been dropped from the file (colour profiles, thumbnails, text), so that the same file
 * gives the same floats in every process. Read {@link org.lqf.image.ImageFolder} first, then {@link
 * org.lqf.image.ImageTransform}.
 */
@NullMarked
package org.lqf.image;

import org.jspecify.annotations.NullMarked;
