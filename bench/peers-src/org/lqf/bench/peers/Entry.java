package org.lqf.bench.peers;

import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One comparison.
 *
 * @param name what/peer/network/size
 * @param threads of both
 * @param oursMillis median of clean samples; NaN, in JSON null, if there was none
 * @param peerMillis likewise; of its fastest setting where there are several
 * @param ourPeakBytes resident set of a process of its own that does this alone, JVM included; null
 *     if not measured
 */
record Entry(
    String name,
    int threads,
    double oursMillis,
    double peerMillis,
    Long ourPeakBytes,
    Long peerPeakBytes) {

  double ratio() {
    return peerMillis / oursMillis;
  }

  String line() {
    return "%-44s %d threads  %9.2f ms  peer %9.2f ms  ratio %5.2f  peak %s, peer %s"
        .formatted(
            name,
            threads,
            oursMillis,
            peerMillis,
            ratio(),
            mega(ourPeakBytes),
            mega(peerPeakBytes));
  }

  private static String mega(Long bytes) {
    return bytes == null ? "-" : (bytes >> 20) + " MB";
  }

  static void write(Path file, List<Entry> entries) throws IOException {
    List<Map<String, Object>> list = new ArrayList<>();
    for (Entry e : entries) {
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("name", e.name);
      object.put("threads", e.threads);
      object.put("oursMillis", finite(e.oursMillis));
      object.put("peerMillis", finite(e.peerMillis));
      object.put("ratio", finite(e.ratio()));
      object.put("ourPeakBytes", e.ourPeakBytes);
      object.put("peerPeakBytes", e.peerPeakBytes);
      list.add(object);
    }
    JsonMapper.builder().build().writerWithDefaultPrettyPrinter().writeValue(file.toFile(), list);
  }

  private static Double finite(double value) {
    return Double.isFinite(value) ? value : null;
  }
}
