package org.lqf.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
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
import java.util.Set;

/**
 * A safetensors file held open, for tensors that are read one at a time; the format is told at
 * {@link Safetensors}. Any thread may read.
 *
 * <p>Every file is taken as hostile: nothing is allocated before its size was checked against the
 * length of the file.
 */
public final class SafetensorsFile implements AutoCloseable {

  private static final int CHUNK = 1 << 20; // bytes

  private final Path file;
  private final FileChannel channel;
  private final long data; // where it starts in the file
  private final Map<String, String> metadata;
  private final Map<String, Entry> entries; // in the order of their data

  private SafetensorsFile(
      Path file,
      FileChannel channel,
      long data,
      Map<String, String> metadata,
      Map<String, Entry> entries) {
    this.file = file;
    this.channel = channel;
    this.data = data;
    this.metadata = Collections.unmodifiableMap(metadata);
    this.entries = Collections.unmodifiableMap(entries);
  }

  /**
   * Opens a file and reads its header.
   *
   * @throws IOException if it cannot be read or is not a valid safetensors file; the message says
   *     why
   */
  public static SafetensorsFile open(Path file) throws IOException {
    FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
    try {
      return open(file, channel);
    } catch (IOException e) {
      channel.close();
      throw explained(file, e);
    } catch (RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  private static SafetensorsFile open(Path file, FileChannel channel) throws IOException {
    if (channel.size() < 8) {
      throw new IOException("only %d bytes long".formatted(channel.size()));
    }
    long rest = channel.size() - 8;
    long length = readFully(channel, 0, 8).getLong();
    if (length < 2 || length > Math.min(rest, Safetensors.MAX_HEADER)) {
      throw new IOException(
          "its header should have %s bytes; %d follow, and the limit is %d"
              .formatted(Long.toUnsignedString(length), rest, Safetensors.MAX_HEADER));
    }
    ObjectNode header = parse(readFully(channel, 8, (int) length));
    Map<String, Entry> entries = new LinkedHashMap<>();
    for (Entry entry : entries(header, rest - length)) {
      entries.put(entry.name, entry);
    }
    return new SafetensorsFile(file, channel, 8 + length, metadata(header), entries);
  }

  /** Text by key. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** Names of the tensors. */
  public Set<String> names() {
    return entries.keySet();
  }

  /**
   * Extents of a tensor, slowest first.
   *
   * @throws IllegalArgumentException if there is no tensor of that name
   */
  public List<Long> shape(String name) {
    return entry(name).shape;
  }

  /**
   * Element type of a tensor.
   *
   * @throws IllegalArgumentException if there is no tensor of that name
   */
  public Tensor.Type type(String name) {
    return entry(name).type;
  }

  /**
   * Reads a tensor.
   *
   * @throws IllegalArgumentException if there is no tensor of that name
   */
  public Tensor get(String name) throws IOException {
    Entry entry = entry(name);
    ByteBuffer bytes = ByteBuffer.allocate(entry.bytes());
    read(name, 0, bytes);
    return new Tensor(entry.type, entry.shape, bytes.flip());
  }

  /**
   * Reads a part of a tensor: fills what remains of the target.
   *
   * @param from bytes of the tensor before the part
   * @throws IllegalArgumentException if there is no tensor of that name or it ends before
   */
  public void read(String name, long from, ByteBuffer target) throws IOException {
    Entry entry = entry(name);
    if (from < 0 || from + target.remaining() > entry.bytes()) {
      throw new IllegalArgumentException(
          "bytes [%d, %d) of tensor \"%s\", which has %d"
              .formatted(from, from + target.remaining(), name, entry.bytes()));
    }
    try {
      readFully(channel, data + entry.begin + from, target);
    } catch (IOException e) {
      throw explained(file, e);
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }

  private Entry entry(String name) {
    Entry entry = entries.get(name);
    if (entry == null) {
      throw new IllegalArgumentException("no tensor is named \"%s\"".formatted(name));
    }
    return entry;
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
    JsonNode texts = header.path(Safetensors.METADATA);
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
      if (!line.getKey().equals(Safetensors.METADATA)) {
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
    readFully(channel, from, bytes);
    return bytes.flip();
  }

  private static void readFully(FileChannel channel, long from, ByteBuffer target)
      throws IOException {
    int limit = target.limit();
    long at = from;
    while (target.position() < limit) { // Java copies what is read at once by way of native memory
      target.limit(Math.min(limit, target.position() + CHUNK));
      int read = channel.read(target, at);
      if (read < 0) {
        throw new EOFException("it became shorter while it was read");
      }
      at += read;
    }
  }

  private static IOException explained(Path file, IOException e) {
    if (e instanceof FileSystemException) { // no such file, not allowed: says so itself
      return e;
    }
    String why =
        e instanceof JsonProcessingException json
            ? "its header is not valid JSON: " + json.getOriginalMessage()
            : e.getMessage();
    return new IOException(
        file + " is not a whole safetensors file: " + why + "; was the download or copy cut off?",
        e);
  }
}
