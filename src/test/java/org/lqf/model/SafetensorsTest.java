package org.lqf.model;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafetensorsTest {

  @TempDir Path folder;

  /** A file of this header and this many data bytes 0, 1, 2, … */
  private static byte[] file(String header, int dataBytes) {
    byte[] json = header.getBytes(UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(json.length).put(json);
    for (int i = 0; i < dataBytes; i++) {
      bytes.put((byte) i);
    }
    return bytes.array();
  }

  private static String tensor(String name, String dtype, String shape, long begin, long end) {
    return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
        .formatted(name, dtype, shape, begin, end);
  }

  private Safetensors read(byte[] bytes) throws IOException {
    Path file = folder.resolve("x.safetensors");
    Files.write(file, bytes);
    return Safetensors.read(file);
  }

  private void refuses(byte[] bytes, String text) {
    String message = assertThrows(IOException.class, () -> read(bytes)).getMessage();
    assertTrue(message.contains("x.safetensors is not a whole safetensors file"), message);
    assertTrue(message.contains(text), () -> "\"" + text + "\" is not in: " + message);
  }

  private void refuses(String header, int dataBytes, String text) {
    refuses(file(header, dataBytes), text);
  }

  private static Safetensors sample() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("b", Tensor.of(new float[] {1, -2, 3, 4, 5, 6}, 2, 3));
    tensors.put("a", Tensor.of(new float[] {0.5f}));
    tensors.put("z", Tensor.of(new double[] {Math.PI, -0.0}));
    tensors.put("labels", Tensor.of(new long[] {3, Long.MIN_VALUE, 1L << 53}));
    tensors.put("none", Tensor.of(new float[0], 0, 7));
    tensors.put("größe \"π\"", Tensor.of(new float[] {7}, 1, 1, 1));
    return new Safetensors(Map.of("ridge", "1e-3", "name", "Ω\n"), tensors);
  }

  @Test
  void readsAFileThatIsWorkedOutByHand() throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(8 + 72 + 8).order(ByteOrder.LITTLE_ENDIAN);
    bytes
        .putLong(72)
        .put("{\"x\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}".getBytes(UTF_8));
    while (bytes.position() < 80) {
      bytes.put((byte) ' ');
    }
    bytes.put(new byte[] {0, 0, (byte) 0x80, 0x3f}).put(new byte[] {0, 0, 0x20, (byte) 0xc0});
    Safetensors file = read(bytes.array());
    assertEquals(Map.of(), file.metadata());
    assertEquals(List.of(2L, 1L), file.get("x").shape());
    assertArrayEquals(new float[] {1f, -2.5f}, file.get("x").floats());
    assertArrayEquals(new double[] {1, -2.5}, file.get("x").doubles());
  }

  @Test
  void readsWhatItWrites() throws IOException {
    Path file = folder.resolve("x.safetensors");
    sample().write(file);
    assertEquals(sample(), Safetensors.read(file));
  }

  @Test
  void equalContentGivesEqualAlignedBytes() throws IOException {
    Path file = folder.resolve("x.safetensors");
    sample().write(file);
    byte[] first = Files.readAllBytes(file);
    Map<String, Tensor> reordered = new LinkedHashMap<>();
    List<String> names = List.of("none", "z", "größe \"π\"", "labels", "a", "b");
    names.forEach(name -> reordered.put(name, sample().get(name)));
    new Safetensors(Map.of("name", "Ω\n", "ridge", "1e-3"), reordered).write(file);
    assertArrayEquals(first, Files.readAllBytes(file));

    long header = ByteBuffer.wrap(first).order(ByteOrder.LITTLE_ENDIAN).getLong();
    assertEquals(0, header % 8);
    String json = new String(first, 8, (int) header, UTF_8);
    assertTrue(json.startsWith("{\"__metadata__\":{\"name\":\"Ω\\n\",\"ridge\":\"1e-3\"},"), json);
    // 8-byte elements first, by name: labels at 0, z at 24; then the floats
    assertTrue(json.contains(tensor("labels", "I64", "[3]", 0, 24)), json);
    assertTrue(json.contains(tensor("z", "F64", "[2]", 24, 40)), json);
    assertTrue(json.contains(tensor("a", "F32", "[1]", 40, 44)), json);
    assertEquals(8 + header + 40 + 8 * 4, first.length);
  }

  @ParameterizedTest
  @CsvSource({
    "0x0000, 0",
    "0x3c00, 1",
    "0xc000, -2",
    "0x7bff, 65504",
    "0x3555, 0.333251953125",
    "0x0001, 5.960464477539063E-8",
    "0x83ff, -6.097555160522461E-5",
    "0x0400, 6.103515625E-5",
    "0x7c00, Infinity",
    "0xfc00, -Infinity",
    "0x7e00, NaN",
    "0x8000, -0.0"
  })
  void halfPrecisionIsExact(String bits, float expected) throws IOException {
    byte[] bytes = file("{" + tensor("h", "F16", "[1]", 0, 2) + "}", 2);
    int half = Integer.decode(bits);
    bytes[bytes.length - 2] = (byte) half;
    bytes[bytes.length - 1] = (byte) (half >> 8);
    assertEquals(expected, read(bytes).get("h").floats()[0]);
    assertEquals((double) expected, read(bytes).get("h").doubles()[0]);
  }

  @ParameterizedTest
  @CsvSource({"0x3f80, 1", "0xc020, -2.5", "0x7f80, Infinity", "0x0001, 9.1835E-41"})
  void brainFloatsAreTheUpperHalfOfAFloat(String bits, float expected) throws IOException {
    byte[] bytes = file("{" + tensor("h", "BF16", "[]", 0, 2) + "}", 2);
    int half = Integer.decode(bits);
    bytes[bytes.length - 2] = (byte) half;
    bytes[bytes.length - 1] = (byte) (half >> 8);
    assertEquals(expected, read(bytes).get("h").floats()[0]);
    assertEquals(List.of(), read(bytes).get("h").shape()); // a scalar
  }

  @Test
  void refusesHeadersThatAreNone() {
    refuses(new byte[7], "only 7 bytes");
    refuses(new byte[8], "should have 0 bytes; 0 follow");
    byte[] negative = file("{}", 0);
    negative[7] = (byte) 0x80;
    refuses(negative, "should have 9223372036854775810 bytes");
    byte[] large = file("{}", 50);
    large[3] = 3; // 50 MB: below the limit, beyond the file
    refuses(large, "should have 50331650 bytes; 52 follow");
    refuses("[]", 0, "does not begin with '{'");
    refuses(" {}", 0, "does not begin with '{'");
    refuses("{\"x\"", 0, "not valid JSON");
    refuses("{}x", 0, "not valid JSON");
    refuses("{\"a\":{},\"a\":{}}", 0, "not valid JSON: Duplicate");
    refuses("{\"\u0001\":{}}", 0, "not valid JSON");
    refuses("{\"a\":" + "[".repeat(5000) + "]".repeat(5000) + "}", 0, "not valid JSON");
    byte[] latin = file("{\"ä\":{}}", 0);
    latin[10] = (byte) 0xe4;
    refuses(latin, "not valid UTF-8");
    refuses("{\"__metadata__\":[]}", 0, "__metadata__ is not a JSON object");
    refuses("{\"__metadata__\":{\"n\":1}}", 0, "metadata \"n\" is not text");
  }

  @Test
  void refusesTensorsThatOverlapLeaveHolesOrEndOutside() {
    String first = "{" + tensor("a", "F32", "[2]", 0, 8) + ",";
    refuses(first + tensor("b", "F32", "[1]", 4, 8) + "}", 8, "\"b\" begins at byte 4");
    refuses(first + tensor("b", "F32", "[1]", 12, 16) + "}", 16, "begins at byte 12 of the data");
    refuses(first + tensor("b", "F32", "[2]", 0, 8) + "}", 8, "expected 8 without overlap");
    refuses(first + tensor("b", "F32", "[1]", 8, 12) + "}", 11, "ends at byte 12 but there are");
    refuses(first + tensor("b", "F32", "[1]", 8, 12) + "}", 13, "1 bytes follow the last tensor");
    refuses("{" + tensor("a", "F32", "[1]", 4, 8) + "}", 8, "begins at byte 4");
    refuses("{}", 1, "1 bytes follow");
  }

  @Test
  void refusesEntriesThatContradictThemselves() {
    refuses(
        "{" + tensor("a", "F32", "[2]", 0, 4) + "}", 4, "needs 8 bytes, its data_offsets span 4");
    refuses("{" + tensor("a", "F32", "[1]", 8, 4) + "}", 8, "[8, 4], expected [begin, end]");
    refuses("{" + tensor("a", "F4", "[1]", 0, 1) + "}", 1, "dtype \"F4\"; supported are F64");
    refuses("{" + tensor("a", "F32", "[-1]", 0, 4) + "}", 4, "-1 in its header is not an unsigned");
    refuses("{" + tensor("a", "F32", "[1.0]", 0, 4) + "}", 4, "1.0 in its header");
    refuses("{" + tensor("a", "F32", "7", 0, 4) + "}", 4, "lacks its shape");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "lacks its shape or data_offsets");
    refuses("{\"a\":7}", 4, "\"a\" has dtype");
    // products that wrap around to the right size, or beyond long
    String wraps = "[4294967296,4294967296,4294967297]";
    refuses("{" + tensor("a", "F32", wraps, 0, 4) + "}", 4, "is too large");
    String digits = "[" + "9".repeat(40) + "]";
    refuses("{" + tensor("a", "F32", digits, 0, 4) + "}", 4, "is not an unsigned integer");
    long four = 1L << 32;
    refuses("{" + tensor("a", "F32", "[1073741824]", 0, four) + "}", 4, "at most 2 GB per tensor");
  }

  @Test
  void everyTruncationIsRefusedWithASentence() throws IOException {
    byte[] whole = Files.readAllBytes(written(sample()));
    for (int length = 0; length < whole.length; length++) {
      refuses(Arrays.copyOf(whole, length), "cut off?");
    }
    refuses(Arrays.copyOf(whole, whole.length + 1), "1 bytes follow the last tensor");
  }

  /** Whatever one flipped bit does, it is read as something else or refused as an IOException. */
  @Test
  void aFlippedBitOfTheHeaderNeverEscapesAsAnotherException() throws IOException {
    Tensor floats = Tensor.of(new float[] {1, 2, 3, 4}, 2, 2);
    Tensor longs = Tensor.of(new long[] {5});
    Path file = written(new Safetensors(Map.of("k", "v"), Map.of("a", floats, "b", longs)));
    byte[] whole = Files.readAllBytes(file);
    int header = (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong();
    int refused = 0;
    for (int bit = 0; bit < 8 * (8 + header); bit++) {
      byte[] flipped = whole.clone();
      flipped[bit / 8] ^= (byte) (1 << bit % 8);
      try {
        read(flipped);
      } catch (IOException e) {
        assertTrue(e.getMessage().contains("x.safetensors is not a whole"), e.getMessage());
        refused++;
      }
    }
    assertTrue(refused > 4 * header, refused + " of " + 8 * (8 + header) + " were refused");
  }

  @Test
  void aMissingFileSaysSo() {
    assertThrows(NoSuchFileException.class, () -> Safetensors.read(folder.resolve("none")));
  }

  @Test
  void refusesTensorsThatCannotBeMadeOrRead() {
    LayerTest.refuses(() -> Tensor.of(new float[5], 2, 3), "[2, 3]", "5 values");
    LayerTest.refuses(() -> Tensor.of(new float[1], -1, -1), "[-1, -1]");
    LayerTest.refuses(
        () -> Tensor.of(new float[1], 1L << 32, 1L << 32), "[4294967296, 4294967296]");
    LayerTest.refuses(() -> Tensor.of(new long[1]).floats(), "longs()");
    LayerTest.refuses(() -> Tensor.of(new float[1]).longs(), "floats()");
    LayerTest.refuses(() -> sample().get("missing"), "\"missing\"");
    Map<String, Tensor> reserved = Map.of("__metadata__", Tensor.of(new float[1]));
    LayerTest.refuses(() -> new Safetensors(Map.of(), reserved), "__metadata__");
  }

  @Test
  void aTensorDoesNotChangeWithTheArrayItCameFrom() {
    float[] values = {1, 2};
    Tensor tensor = Tensor.of(values);
    values[0] = 9;
    tensor.floats()[1] = 9;
    assertArrayEquals(new float[] {1, 2}, tensor.floats());
  }

  private Path written(Safetensors content) throws IOException {
    Path file = folder.resolve("whole.safetensors");
    content.write(file);
    return file;
  }
}
