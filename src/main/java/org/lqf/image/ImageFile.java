package org.lqf.image;

import java.nio.file.Path;

/**
 * One image of an {@link ImageFolder}.
 *
 * @param path where it is
 * @param relativeName class folder, {@code '/'}, file name: the name under which reports mention it
 * @param label index into {@link ImageFolder#classes()}
 */
public record ImageFile(Path path, String relativeName, int label) {

  public ImageFile {
    if (label < 0) {
      throw new IllegalArgumentException(relativeName + ": label " + label + " is negative");
    }
  }
}
