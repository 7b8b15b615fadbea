package org.lqf.report;

import freemarker.core.HTMLOutputFormat;
import freemarker.template.Configuration;
import freemarker.template.Template;
import freemarker.template.TemplateException;
import freemarker.template.TemplateExceptionHandler;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.lqf.model.AtomicFile;

/**
 * An HTML page that needs no other file.
 *
 * @param title plain text, as all text here; the template escapes it
 * @param lead what the page is about, in a sentence or two
 */
public record Page(String title, String lead, List<Section> sections) {

  /** A part with a heading, to which the table of contents leads. */
  public record Section(String heading, List<Block> blocks) {
    public Section {
      blocks = List.copyOf(blocks);
    }
  }

  private static final Configuration TEMPLATES = configuration();

  public Page {
    sections = List.copyOf(sections);
  }

  private static Configuration configuration() {
    Configuration configuration = new Configuration(Configuration.VERSION_2_3_33); // sees records
    configuration.setClassForTemplateLoading(Page.class, "");
    configuration.setDefaultEncoding(StandardCharsets.UTF_8.name());
    configuration.setOutputFormat(HTMLOutputFormat.INSTANCE);
    configuration.setTemplateExceptionHandler(TemplateExceptionHandler.RETHROW_HANDLER);
    configuration.setLogTemplateExceptions(false);
    configuration.setLocale(Locale.ROOT);
    return configuration;
  }

  /** The page as text. */
  public String html() throws IOException {
    StringWriter out = new StringWriter();
    try {
      Template template = TEMPLATES.getTemplate("page.ftlh");
      template.process(Map.of("page", this), out);
    } catch (TemplateException e) {
      throw new IOException("page \"%s\": %s".formatted(title, e.getMessage()), e);
    }
    return out.toString();
  }

  /** The file appears as a whole or not at all, and replaces one of that name. */
  public void write(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(html().getBytes(StandardCharsets.UTF_8));
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, bytes));
  }
}
