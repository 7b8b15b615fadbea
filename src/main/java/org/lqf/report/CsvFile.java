package org.lqf.report;

import de.siegmar.fastcsv.reader.CsvParseException;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.NamedCsvRecord;
import de.siegmar.fastcsv.writer.CsvWriter;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.lqf.model.AtomicFile;

/** Tables for machines: RFC 4180 in UTF-8, a header first. */
public final class CsvFile {

  private CsvFile() {}

  /**
   * The rows of a file, each by the names of its header.
   *
   * @throws IOException that names the file if it is no such table
   */
  public static List<Map<String, String>> read(Path file) throws IOException {
    try (CsvReader<NamedCsvRecord> rows = CsvReader.builder().ofNamedCsvRecord(file)) {
      return rows.stream().map(NamedCsvRecord::getFieldsAsMap).toList();
    } catch (CsvParseException | UncheckedIOException e) {
      throw new IOException("%s is no CSV file: %s".formatted(file, e.getMessage()), e);
    }
  }

  /** The file appears as a whole or not at all, and replaces one of that name. */
  public static void write(Path file, List<String> header, List<List<String>> rows)
      throws IOException {
    StringWriter text = new StringWriter();
    try (CsvWriter csv = CsvWriter.builder().build(text)) {
      csv.writeRecord(header);
      for (List<String> row : rows) {
        csv.writeRecord(row);
      }
    }
    ByteBuffer bytes = ByteBuffer.wrap(text.toString().getBytes(StandardCharsets.UTF_8));
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, bytes));
  }
}
