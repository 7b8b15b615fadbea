package org.lqf;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** The layers, and which of them may see which library. */
@AnalyzeClasses(packages = "org.lqf", importOptions = DoNotIncludeTests.class)
class ArchitectureTest {
  @ArchTest
  static final ArchRule packagesUseOnlyTheLayersBelowThem =
      layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .withOptionalLayers(true)
          .layer("image")
          .definedBy("org.lqf.image..")
          .layer("model")
          .definedBy("org.lqf.model..")
          .layer("binding")
          .definedBy("org.lqf.binding..")
          .layer("engine")
          .definedBy("org.lqf.engine..")
          .layer("curvature")
          .definedBy("org.lqf.curvature..")
          .layer("solve")
          .definedBy("org.lqf.solve..")
          .layer("tune")
          .definedBy("org.lqf.tune..")
          .layer("pretrain")
          .definedBy("org.lqf.pretrain..")
          .layer("predict")
          .definedBy("org.lqf.predict..")
          .layer("explain")
          .definedBy("org.lqf.explain..")
          .layer("report")
          .definedBy("org.lqf.report..")
          .layer("baseline")
          .definedBy("org.lqf.baseline..")
          .layer("cli")
          .definedBy("org.lqf.cli..")
          .whereLayer("image")
          .mayNotAccessAnyLayer()
          .whereLayer("model")
          .mayNotAccessAnyLayer()
          .whereLayer("binding")
          .mayNotAccessAnyLayer()
          .whereLayer("engine")
          .mayOnlyAccessLayers("model", "binding")
          .whereLayer("curvature")
          .mayOnlyAccessLayers("model", "engine", "binding")
          .whereLayer("solve")
          .mayOnlyAccessLayers("model", "engine", "curvature")
          .whereLayer("tune")
          .mayOnlyAccessLayers("image", "model", "engine", "curvature", "solve")
          .whereLayer("pretrain")
          .mayOnlyAccessLayers("image", "model", "engine", "solve", "tune", "baseline")
          .whereLayer("predict")
          .mayOnlyAccessLayers("image", "model", "engine")
          .whereLayer("explain")
          .mayOnlyAccessLayers("model", "engine", "curvature", "solve")
          .whereLayer("report")
          .mayOnlyAccessLayers("image", "model")
          .whereLayer("baseline")
          .mayOnlyAccessLayers("image", "model", "engine", "curvature", "solve", "tune", "report");

  @ArchTest
  static final ArchRule packagesHaveNoCycles =
      slices().matching("org.lqf.(*)..").should().beFreeOfCycles().allowEmptyShould(true);

  @ArchTest
  static final ArchRule onlyTheEngineSeesNativePointers =
      only("org.bytedeco..", "org.lqf.binding..", "org.lqf.engine..", "org.lqf.curvature..");

  @ArchTest
  static final ArchRule onlyDataFormatsSeeJson =
      only("com.fasterxml.jackson..", "org.lqf.model..", "org.lqf.tune..", "org.lqf.cli..");

  @ArchTest
  static final ArchRule onlyTheCommandLineSeesPicocli = only("picocli..", "org.lqf.cli..");

  @ArchTest
  static final ArchRule onlyReportsSeeTemplatesAndCsv =
      noClasses()
          .that()
          .resideOutsideOfPackage("org.lqf.report..")
          .should()
          .dependOnClassesThat(resideInAnyPackage("freemarker..", "de.siegmar.."));

  @ArchTest
  static final ArchRule onlyTheCommandLineChoosesALogger =
      only("ch.qos.logback..", "org.lqf.cli..");

  @ArchTest
  static final ArchRule namesSayWhatAClassIs =
      noClasses()
          .should()
          .haveNameMatching(".*(Util|Utils|Helper|Manager|Impl)")
          .because("such a name hides what the class does (style: names)");

  private static ArchRule only(String library, String... packages) {
    return noClasses()
        .that()
        .resideOutsideOfPackages(packages)
        .should()
        .dependOnClassesThat(resideInAnyPackage(library))
        .allowEmptyShould(true);
  }
}
