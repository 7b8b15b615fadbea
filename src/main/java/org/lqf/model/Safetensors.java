package org.lqf.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
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
 * data; tensors fill it without hole or overlap.
 *
 * @param metadata text by key
 * @param tensors by name
 */
public record Safetensors(Map<String, String> metadata, Map<String, Tensor> tensors) {

  static final String METADATA = "__metadata__";
  static final int MAX_HEADER = 100_000_000; // bytes; the limit of the format

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
    try (SafetensorsFile open = SafetensorsFile.open(file)) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (String name : open.names()) {
        tensors.put(name, open.get(name));
      }
      return new Safetensors(open.metadata(), tensors);
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
}
