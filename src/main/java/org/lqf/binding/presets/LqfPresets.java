package org.lqf.binding.presets;

import org.bytedeco.javacpp.ClassProperties;
import org.bytedeco.javacpp.LoadEnabled;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;
import org.bytedeco.javacpp.annotation.Properties;
import org.bytedeco.javacpp.presets.javacpp;
import org.bytedeco.javacpp.tools.Info;
import org.bytedeco.javacpp.tools.InfoMap;
import org.bytedeco.javacpp.tools.InfoMapper;

/**
 * Tells JavaCPP how to turn {@code lqf.h} into the class {@code org.lqf.binding.Lqf}.
 *
 * <p>The header is C and lets no exception out, so the generated JNI code needs no try/catch
 * ({@link NoException}).
 *
 * <p>NOTE: do not inherit {@code openblas.class}: the parser would then translate lapack.h as well.
 */
@Properties(
    inherit = javacpp.class,
    value = @Platform(value = "linux-x86_64", include = "lqf.h", link = "lqf", compiler = "cpp17"),
    target = "org.lqf.binding",
    global = "org.lqf.binding.Lqf")
@NoException
public class LqfPresets implements InfoMapper, LoadEnabled {
  /**
   * Loads OpenBLAS first: liblqf.so needs libopenblas.so.0, and the dynamic linker then finds the
   * one that is in memory.
   *
   * <p>NOTE: {@code openblas_nolapack}, not {@code openblas}, which maps a second copy of the same
   * library with a second thread pool. The name speaks of the Java binding only; the library behind
   * it has LAPACK.
   */
  @Override
  public void init(ClassProperties properties) {
    if (Loader.isLoadLibraries()) { // false while Maven parses and builds
      Loader.load(org.bytedeco.openblas.global.openblas_nolapack.class);
    }
  }

  @Override
  public void map(InfoMap infoMap) {
    infoMap
        .put(new Info("LQF_API").cppTypes().annotations())
        .put(new Info("lqf_engine").pointerTypes("LqfEngine"))
        .put(new Info("lqf_vector").pointerTypes("LqfVector"))
        .put(new Info("lqf_plan").pointerTypes("LqfPlan"))
        .put(new Info("lqf_factors").pointerTypes("LqfFactors"))
        .put(new Info("lqf_matrix").pointerTypes("LqfMatrix"))
        .put(new Info("lqf_node").pointerTypes("LqfNode"));
  }
}
