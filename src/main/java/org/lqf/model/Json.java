package org.lqf.model;

import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;

/**
 * The one JSON reader and writer: strict in, the same bytes on every platform out. The accessors
 * say which key of an object is missing or of the wrong kind.
 */
final class Json {

  static final JsonMapper MAPPER =
      JsonMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  /** Indented by one blank, lines ended by \n. */
  static final ObjectWriter PRETTY =
      MAPPER.writer(
          new DefaultPrettyPrinter()
              .withObjectIndenter(new DefaultIndenter(" ", "\n"))
              .withArrayIndenter(new DefaultIndenter(" ", "\n")));

  private Json() {}

  static String text(JsonNode json, String key) {
    String text = json.path(key).textValue();
    if (text == null) {
      throw new IllegalArgumentException(
          "\"%s\": expected a text, got %s".formatted(key, orNothing(json, key)));
    }
    return text;
  }

  static int integer(JsonNode json, String key) {
    JsonNode value = json.path(key);
    if (!value.isIntegralNumber() || !value.canConvertToInt()) {
      throw new IllegalArgumentException(
          "\"%s\": expected an integer, got %s".formatted(key, orNothing(json, key)));
    }
    return value.intValue();
  }

  static JsonNode array(JsonNode json, String key) {
    JsonNode value = json.path(key);
    if (!value.isArray()) {
      throw new IllegalArgumentException(
          "\"%s\": expected a list, got %s".formatted(key, orNothing(json, key)));
    }
    return value;
  }

  static float[] floats(JsonNode json, String key) {
    JsonNode values = array(json, key);
    float[] floats = new float[values.size()];
    for (int i = 0; i < floats.length; i++) {
      if (!values.get(i).isNumber()) {
        throw new IllegalArgumentException(
            "\"%s\": expected numbers, got %s".formatted(key, values.get(i)));
      }
      floats[i] = values.get(i).floatValue();
    }
    return floats;
  }

  private static String orNothing(JsonNode json, String key) {
    String value = json.path(key).toString();
    return value.isEmpty() ? "nothing" : value.substring(0, Math.min(value.length(), 80));
  }
}
