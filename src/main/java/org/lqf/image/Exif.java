package org.lqf.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** The one field of EXIF data that says how to show a picture. */
final class Exif {

  private static final int ORIENTATION = 0x0112;
  private static final int SHORT = 3;

  private Exif() {}

  /**
   * Finds the orientation in the first directory of a TIFF structure (TIFF 6.0 §2, EXIF 2.3
   * §4.6.4).
   *
   * @param tiff from its first byte {@code II} or {@code MM} to its end
   * @return 1 to 8; 1 (upright) if there is none or the data is damaged, as viewers do
   */
  static int orientation(ByteBuffer tiff) {
    ByteBuffer in = tiff.slice();
    if (in.remaining() < 8) {
      return 1;
    }
    in.order(in.get(0) == 'I' ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
    long directory = Integer.toUnsignedLong(in.getInt(4));
    if (in.getShort(2) != 42 || directory > in.limit() - 2) {
      return 1;
    }
    int entries = Short.toUnsignedInt(in.getShort((int) directory));
    for (int i = 0, at = (int) directory + 2; i < entries && at + 12 <= in.limit(); i++, at += 12) {
      if (Short.toUnsignedInt(in.getShort(at)) == ORIENTATION && in.getShort(at + 2) == SHORT) {
        int value = in.getShort(at + 8);
        return value >= 1 && value <= 8 ? value : 1;
      }
    }
    return 1;
  }
}
