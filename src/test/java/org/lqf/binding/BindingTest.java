package org.lqf.binding;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class BindingTest {
  @Test
  void libraryWasBuiltFromTheHeaderJavaWasGeneratedFrom() {
    assertEquals(Lqf.LQF_ABI_VERSION, Lqf.lqf_abi_version());
  }

  @Test
  void onlyOneOpenBlasIsMapped() throws IOException {
    Lqf.lqf_abi_version();
    try (var maps = Files.lines(Path.of("/proc/self/maps"))) {
      var files =
          maps.filter(line -> line.contains("libopenblas"))
              .map(line -> line.substring(line.indexOf('/')))
              .collect(Collectors.toSet());
      assertEquals(1, files.size(), () -> "mapped: " + files);
    }
  }
}
