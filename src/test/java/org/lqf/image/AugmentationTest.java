package org.lqf.image;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class AugmentationTest {

  private static final int CHANNELS = 2;
  private static final int HEIGHT = 16;
  private static final int WIDTH = 24;

  @Test
  void sameSeedEpochAndIndexGiveTheSameImage() {
    Augmentation augmentation = Augmentation.cropAndFlip(3);
    assertArrayEquals(shown(augmentation, 1, 2), shown(augmentation, 1, 2));
    assertTrue(
        distinct(Augmentation.cropAndFlip(3)) > 30, "epochs and indices give different draws");
  }

  @Test
  void everyPixelComesFromTheMirroredPlane() {
    // Sample value = 1000·c + 100·y + x tells where each pixel came from.
    Set<Integer> downs = new HashSet<>();
    Set<Integer> rights = new HashSet<>();
    int flips = 0;
    for (int index = 0; index < 300; index++) {
      float[] out = shown(Augmentation.cropAndFlip(7), 0, index);
      int middle = (HEIGHT / 2) * WIDTH + WIDTH / 2;
      int down = (int) out[middle] / 100 - HEIGHT / 2;
      boolean flip = out[middle + 1] < out[middle];
      int right = (int) out[middle] % 100 - (flip ? WIDTH - 1 - WIDTH / 2 : WIDTH / 2);
      downs.add(down);
      rights.add(right);
      flips += flip ? 1 : 0;
      for (int i = 0; i < out.length; i++) {
        int c = i / (HEIGHT * WIDTH);
        int y = i / WIDTH % HEIGHT;
        int x = i % WIDTH;
        int fromY = mirrored(y + down, HEIGHT);
        int fromX = mirrored((flip ? WIDTH - 1 - x : x) + right, WIDTH);
        assertEquals(1000 * c + 100 * fromY + fromX, out[i]);
      }
    }
    assertEquals(Set.of(-2, -1, 0, 1, 2), downs);
    assertEquals(Set.of(-3, -2, -1, 0, 1, 2, 3), rights);
    assertTrue(flips > 100 && flips < 200, flips + " of 300 were mirrored");
  }

  @Test
  void withoutShiftAndFlipNothingChanges() {
    assertArrayEquals(coordinates(), shown(new Augmentation(0, false, 1), 5, 6));
  }

  @Test
  void largestShiftStaysInside() {
    for (int index = 0; index < 50; index++) {
      shown(new Augmentation(0.999, true, 1), 0, index);
    }
    assertThrows(IllegalArgumentException.class, () -> new Augmentation(1, true, 1));
    assertThrows(IllegalArgumentException.class, () -> new Augmentation(Double.NaN, true, 1));
  }

  @Test
  void drawsAreTheSameOnEveryJdk() {
    // Recorded on JDK 17; an artefact says which seed made it, so the draws may not change.
    float[] out = shown(Augmentation.cropAndFlip(42), 3, 4);
    assertEquals(101, out[0]);
    assertEquals(7702586659592502839L, Seeds.mix(1, 2, 3));
  }

  private static int distinct(Augmentation augmentation) {
    Set<Integer> images = new HashSet<>();
    for (int epoch = 0; epoch < 10; epoch++) {
      for (int index = 0; index < 10; index++) {
        images.add(Arrays.hashCode(shown(augmentation, epoch, index)));
      }
    }
    return images.size();
  }

  private static float[] shown(Augmentation augmentation, int epoch, int index) {
    float[] in = coordinates();
    float[] out = new float[in.length];
    augmentation.apply(in, 0, out, 0, CHANNELS, HEIGHT, WIDTH, epoch, index);
    return out;
  }

  private static float[] coordinates() {
    float[] image = new float[CHANNELS * HEIGHT * WIDTH];
    for (int i = 0; i < image.length; i++) {
      image[i] = 1000 * (i / (HEIGHT * WIDTH)) + 100 * (i / WIDTH % HEIGHT) + i % WIDTH;
    }
    return image;
  }

  private static int mirrored(int i, int n) {
    return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
  }
}
