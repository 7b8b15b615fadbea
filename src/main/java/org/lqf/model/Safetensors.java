package org.lqf.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The content of a safetensors file: named tensors and text metadata, sorted by name.
 *
 * <p>Format (github huggingface/safetensors): the header's length as unsigned 64-bit little-endian;
 * the header, a JSON object {@code {"__metadata__": {key: text}, name: {"dtype", "shape",
 * "data_offsets": [begin, end]}}} padded with blanks; the data. Offsets count from the start of the
 * data; tensors fill it without hole or overlap. Every file is taken as hostile: nothing is
 * allocated before its size was checked against the length of the file.
 *
 * @param metadata text by key
 * @param tensors by name
 */
public record Safetensors(Map<String, String> metadata, Map<String, Tensor> tensors) {

  private static final String METADATA = "__metadata__";
  private static final int MAX_HEADER = 100_000_000; // bytes; the limit of the format
  private static final int CHUNK = 1 << 20; // bytes

  public Safetensors {
    if (tensors.containsKey(METADATA)) {
      throw new IllegalArgumentException("no tensor can be named \"__metadata__\"");
    }
    metadata = Collections.unmodifiableMap(new TreeMap<>(metadata));
    tensors = Collections.unmodifiableMap(new TreeMap<>(tensors));
  }

  /**
   * Reads a whole file.
   *
   * @throws IOException if it cannot be read or is not a valid safetensors file; the message says
   *     why
   */
  public static Safetensors read(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      if (channel.size() < 8) {
        throw new IOException("only %d bytes long".formatted(channel.size()));
      }
      long rest = channel.size() - 8;
      long length = readFully(channel, 0, 8).getLong();
      if (length < 2 || length > Math.min(rest, MAX_HEADER)) {
        throw new IOException(
            "its header should have %s bytes; %d follow, and the limit is %d"
                .formatted(Long.toUnsignedString(length), rest, MAX_HEADER));
      }
      ObjectNode header = parse(readFully(channel, 8, (int) length));
      Map<String, String> metadata = metadata(header);
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (Entry entry : entries(header, rest - length)) {
        ByteBuffer data = readFully(channel, 8 + length + entry.begin, entry.bytes());
        tensors.put(entry.name, new Tensor(entry.type, entry.shape, data));
      }
      return new Safetensors(metadata, tensors);
    } catch (JsonProcessingException e) {
      throw damaged(file, "its header is not valid JSON: " + e.getOriginalMessage(), e);
    } catch (FileSystemException e) { // no such file, not allowed: says so itself
      throw e;
    } catch (IOException e) {
      throw damaged(file, String.valueOf(e.getMessage()), e);
    }
  }

  /**
   * Writes the file as a whole or not at all. Equal content gives equal bytes: metadata by key,
   * tensors by falling element size (so that each is aligned), then by name.
   */
  public void write(Path file) throws IOException {
    List<String> names = new ArrayList<>(tensors.keySet());
    names.sort(
        Comparator.comparingInt(name -> -get(name).type().bytes)); // stable: names stay sorted
    ObjectNode header = JsonNodeFactory.instance.objectNode();
    if (!metadata.isEmpty()) {
      ObjectNode texts = header.putObject(METADATA);
      metadata.forEach(texts::put);
    }
    long offset = 0;
    for (String name : names) {
      Tensor tensor = get(name);
      ObjectNode entry = header.putObject(name);
      entry.put("dtype", tensor.type().name());
      ArrayNode shape = entry.putArray("shape");
      tensor.shape().forEach(shape::add);
      long end = offset + tensor.bytes().remaining();
      entry.putArray("data_offsets").add(offset).add(end);
      offset = end;
    }
    byte[] json = Json.MAPPER.writeValueAsBytes(header);
    int padded = (json.length + 7) / 8 * 8;
    if (padded > MAX_HEADER) {
      throw new IOException(
          "%s: a header of %d bytes exceeds the limit %d; store fewer tensors or less metadata"
              .formatted(file, padded, MAX_HEADER));
    }
    ByteBuffer start = ByteBuffer.allocate(8 + padded).order(ByteOrder.LITTLE_ENDIAN);
    start.putLong(padded).put(json).put(" ".repeat(padded - json.length).getBytes(UTF_8)).flip();
    AtomicFile.write(
        file,
        channel -> {
          AtomicFile.writeFully(channel, start);
          for (String name : names) {
            AtomicFile.writeFully(channel, get(name).bytes());
          }
        });
  }

  /**
   * The tensor of that name.
   *
   * @throws IllegalArgumentException if there is none
   */
  public Tensor get(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new IllegalArgumentException("no tensor is named \"%s\"".formatted(name));
    }
    return tensor;
  }

  /** One line of the header; offsets in bytes from the start of the data. */
  private record Entry(String name, Tensor.Type type, List<Long> shape, long begin, long end) {
    int bytes() {
      return (int) (end - begin);
    }
  }

  private static ObjectNode parse(ByteBuffer bytes) throws IOException {
    if (bytes.get(0) != '{') {
      throw new IOException("its header does not begin with '{'");
    }
    String text;
    try {
      text = UTF_8.newDecoder().decode(bytes).toString();
    } catch (CharacterCodingException e) {
      throw new IOException("its header is not valid UTF-8", e);
    }
    return (ObjectNode) Json.MAPPER.readTree(text); // '{' can only begin an object
  }

  private static Map<String, String> metadata(ObjectNode header) throws IOException {
    Map<String, String> metadata = new LinkedHashMap<>();
    JsonNode texts = header.path(METADATA);
    if (!texts.isMissingNode() && !texts.isObject()) {
      throw new IOException("its __metadata__ is not a JSON object");
    }
    for (Map.Entry<String, JsonNode> text : texts.properties()) {
      if (!text.getValue().isTextual()) {
        throw new IOException("its metadata \"%s\" is not text".formatted(text.getKey()));
      }
      metadata.put(text.getKey(), text.getValue().textValue());
    }
    return metadata;
  }

  /** All entries in the order of their data, checked to fill exactly {@code dataLength} bytes. */
  private static List<Entry> entries(ObjectNode header, long dataLength) throws IOException {
    List<Entry> entries = new ArrayList<>();
    for (Map.Entry<String, JsonNode> line : header.properties()) {
      if (!line.getKey().equals(METADATA)) {
        entries.add(entry(line.getKey(), line.getValue()));
      }
    }
    entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    long end = 0;
    for (Entry entry : entries) {
      if (entry.begin != end) {
        throw new IOException(
            "tensor \"%s\" begins at byte %d of the data, expected %d without overlap or hole"
                .formatted(entry.name, entry.begin, end));
      }
      end = entry.end;
      if (end > dataLength) {
        throw new IOException(
            "tensor \"%s\" ends at byte %d but there are only %d bytes of data"
                .formatted(entry.name, end, dataLength));
      }
    }
    if (end != dataLength) {
      throw new IOException("%d bytes follow the last tensor".formatted(dataLength - end));
    }
    return entries;
  }

  private static Entry entry(String name, JsonNode json) throws IOException {
    Tensor.Type type = null;
    for (Tensor.Type known : Tensor.Type.values()) {
      if (known.name().equals(json.path("dtype").textValue())) {
        type = known;
      }
    }
    if (type == null) {
      throw new IOException(
          "tensor \"%s\" has dtype %s; supported are F64, I64, F32, F16, BF16"
              .formatted(name, json.path("dtype")));
    }
    List<Long> shape = integers(name, json.path("shape"));
    List<Long> offsets = integers(name, json.path("data_offsets"));
    if (offsets.size() != 2 || offsets.get(0) > offsets.get(1)) {
      throw new IOException(
          "tensor \"%s\" has data_offsets %s, expected [begin, end]".formatted(name, offsets));
    }
    long expected = type.bytes;
    try {
      for (long extent : shape) {
        expected = Math.multiplyExact(expected, extent);
      }
    } catch (ArithmeticException e) {
      throw new IOException("tensor \"%s\" of shape %s is too large".formatted(name, shape), e);
    }
    long bytes = offsets.get(1) - offsets.get(0);
    if (bytes != expected) {
      throw new IOException(
          "tensor \"%s\" of %s %s needs %d bytes, its data_offsets span %d"
              .formatted(name, type, shape, expected, bytes));
    }
    if (bytes > Integer.MAX_VALUE - 8) {
      throw new IOException(
          "tensor \"%s\" has %d bytes; at most 2 GB per tensor are supported"
              .formatted(name, bytes));
    }
    return new Entry(name, type, shape, offsets.get(0), offsets.get(1));
  }

  private static List<Long> integers(String name, JsonNode json) throws IOException {
    List<Long> values = new ArrayList<>();
    for (JsonNode value : json) {
      if (!value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < 0) {
        throw new IOException(
            "tensor \"%s\": %s in its header is not an unsigned integer".formatted(name, value));
      }
      values.add(value.longValue());
    }
    if (!json.isArray()) {
      throw new IOException("tensor \"%s\" lacks its shape or data_offsets".formatted(name));
    }
    return values;
  }

  private static ByteBuffer readFully(FileChannel channel, long from, int length)
      throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.position() < length) { // Java copies what is read at once by way of native memory
      bytes.limit(Math.min(length, bytes.position() + CHUNK));
      if (channel.read(bytes, from + bytes.position()) < 0) {
        throw new EOFException("it became shorter while it was read");
      }
    }
    return bytes.flip();
  }

  private static IOException damaged(Path file, String why, IOException cause) {
    return new IOException(
        file + " is not a whole safetensors file: " + why + "; was the download or copy cut off?",
        cause);
  }
}
