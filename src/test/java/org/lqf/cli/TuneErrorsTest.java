package org.lqf.cli;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.lqf.testing.TinyData;

class TuneErrorsTest {

  private static final String SEE = "; see lqf tune --help";

  @TempDir static Path shared;
  static Path data;

  @TempDir Path folder;

  @BeforeAll
  static void writeImages() throws IOException {
    data = TinyData.write(shared, 2, 1);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--epochs 0        | epochs must be at least 1, got 0",
        "--epochs many     | Invalid value for option '--epochs': 'many' is not an int",
        "--size -1         | size must be 0 to 16384 pixels, got -1",
        "--ridge 0         | ridge must be above 0, got 0.0",
        "--damping -1      | damping must be above 0, got -1.0",
        "--target-scale 0  | target scale must be in (0, 1e6), got 0.0",
        "--tolerance 2     | tolerance must be in (0, 1), got 2.0",
        "--learning-rate 0 | learning rate must be above 0, got 0.0",
        "--holdout 1.5     | --holdout must lie between 0 and 1, got 1.5",
        "--limit-per-class 0 | --limit-per-class must be at least 1, got 0",
        "--device tpu      | unknown device \"tpu\", expected auto, cuda, cpu, emulator, reference",
        "--solver newton   | Invalid value for option '--solver': unknown solver \"newton\", expected one of auto, cg, cg-kfac, gram, sgd, sgd-kfac",
        "--linearise a,,b  | Invalid value for option '--linearise': linearise \"a,,b\": expected all, last-K, or names with commas between",
        "--augment --solver=cg | solver cg needs images that stay the same; augment with sgd-kfac or sgd",
        "--test=x --holdout=0.1 | --test and --holdout both say what to test on; give one of them",
        "--resume          | --resume needs --out, beside which the checkpoint lies",
      })
  void saysWhichOptionIsWrong(String options, String sentence) {
    Cli.tune(data, (Object[]) options.split(" ")).failed(2, sentence + SEE);
  }

  @Test
  void suggestsTheOptionThatWasMeant() {
    Cli run = Cli.run("tune", "--tagret-scale", "3");
    assertTrue(run.code() == 2 && run.err().startsWith("lqf: Unknown option"), run.err());
    assertTrue(run.err().contains("--target-scale"), run.err());
  }

  @Test
  void holdoutOfDataWithTestImagesIsRefused() {
    Cli.tune(data, "--holdout", 0.5)
        .failed(
            2,
            "--holdout is for images without test images, but %s is there"
                    .formatted(data.resolve("test"))
                + SEE);
  }

  @Test
  void saysThatThereAreNoThreads() {
    Cli run = Cli.tune(data, "--threads", 0);
    assertTrue(run.code() == 2 && run.err().contains("threads"), run.err());
  }

  @Test
  void missingDataNamesTheFolder() {
    Path missing = folder.resolve("photos");
    Cli.tune(missing)
        .failed(1, missing + ": expected a folder with a folder per class inside, found nothing");
  }

  @Test
  void oneClassIsNotEnough() throws IOException {
    Path images = folder.resolve("images");
    Files.createDirectory(images);
    Files.walk(data.resolve("train/bag")).forEach(file -> copy(file, images));
    Cli.tune(images)
        .failed(1, images + " has one class, \"bag\"; at least two are needed to tell apart");
  }

  private void copy(Path file, Path to) {
    try {
      Files.copy(file, to.resolve(data.resolve("train").relativize(file)));
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void damagedImageIsNamed() throws IOException {
    Path images = TinyData.write(folder.resolve("images"), 2, 1);
    Path damaged = images.resolve("train/shirt/000.png");
    byte[] bytes = Files.readAllBytes(damaged);
    Files.write(damaged, Arrays.copyOf(bytes, bytes.length / 2));
    Cli run = Cli.tune(images, "--out", folder.resolve("x.lqf"));
    assertTrue(run.code() == 1 && run.err().startsWith("lqf: " + damaged + ": "), run.err());
    assertFalse(run.err().contains("\tat "), run.err());
    assertFalse(Files.exists(folder.resolve("x.lqf")));
  }

  @Test
  void missingNetworkAndFoldersAreNamed() throws IOException {
    Path missing = folder.resolve("net.json");
    Cli.run("tune", "--backbone", missing, "--data", data)
        .failed(1, missing + ": expected the graph JSON of a network, found nothing");
    Cli.run("tune", "--backbone", folder, "--data", data)
        .failed(1, folder + ": expected the graph JSON of a network, found a folder");
    Files.writeString(missing, "{\"format\": \"other\"}");
    Cli run = Cli.run("tune", "--backbone", missing, "--data", data);
    assertTrue(run.code() == 1 && run.err().startsWith("lqf: " + missing + ": "), run.err());
  }

  @Test
  void placeOfTheResultIsCheckedFirst() {
    Path nowhere = folder.resolve("no/such");
    Cli.tune(data, "--out", nowhere.resolve("x.lqf"))
        .failed(
            1,
            "%s: the folder %s does not exist; create it first"
                .formatted(nowhere.resolve("x.lqf"), nowhere));
    Cli.tune(data, "--metrics-json", nowhere.resolve("m.json"))
        .failed(
            1,
            "%s: the folder %s does not exist; create it first"
                .formatted(nowhere.resolve("m.json"), nowhere));
    Cli.tune(data, "--out", folder, "--force")
        .failed(1, folder + ": is a folder, expected the name of a file to write");
  }

  @Test
  void unknownLayerListsThoseThereAre() {
    Cli run = Cli.tune(data, "--linearise", "conv99");
    assertTrue(run.code() == 1, run.err());
    assertTrue(run.err().startsWith("lqf: no conv2d or linear node [conv99] in"), run.err());
    assertTrue(run.err().contains("head"), run.err());
  }

  @Test
  void divergenceSaysWhatToDo() {
    Cli run = Cli.tune(data, "--solver", "sgd", "--learning-rate", "1e6");
    assertTrue(run.code() == 1 && run.err().startsWith("lqf: SGD diverged in epoch"), run.err());
    assertTrue(run.err().contains("use a smaller one"), run.err());
  }

  @Test
  void checkpointOfAnotherTrainingIsRefused() throws IOException {
    Path out = folder.resolve("x.lqf");
    Path checkpoint = folder.resolve("x.lqf.checkpoint");
    Files.writeString(checkpoint, "garbage");
    Cli run = Cli.tune(data, "--solver", "cg", "--out", out, "--resume");
    assertTrue(run.code() == 1 && run.err().startsWith("lqf: " + checkpoint), run.err());
    assertTrue(Files.exists(checkpoint), "it is the user's to delete");
  }

  @Test
  void noNetworkWhereNothingIsShipped() {
    String before = System.getProperty("lqf.home");
    System.setProperty("lqf.home", folder.toString());
    try {
      Cli.run("tune")
          .failed(
              2,
              "give --backbone; the shipped default %s is not there"
                      .formatted(
                          folder.resolve(
                              "test-data/resnet20-leaky0.1-own/resnet20-leaky0.1-own.json"))
                  + SEE);
    } finally {
      if (before == null) {
        System.clearProperty("lqf.home");
      } else {
        System.setProperty("lqf.home", before);
      }
    }
  }
}
