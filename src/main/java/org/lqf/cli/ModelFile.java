package org.lqf.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.lqf.model.Backbone;
import org.lqf.model.LinearisedModel;
import org.lqf.model.TrainableNetwork;

/**
 * A model and the network that it was tuned from.
 *
 * @param backbone not yet checked against the model; {@code Classifier.open} does that
 */
record ModelFile(LinearisedModel model, Backbone backbone) {

  /**
   * Reads a model, and its network from where the model says or from another file.
   *
   * @param graph of the network, or null: where the model says
   */
  static ModelFile open(Path file, @Nullable Path graph) throws IOException {
    LinearisedModel model = read(file);
    Path network = graph;
    if (network == null) {
      if (model.origin().backboneHint().isEmpty()) {
        throw new IOException(
            file + " does not say where its network is; give it with --backbone net.json");
      }
      network = hinted(file, model);
      if (!Files.exists(network)) {
        throw new IOException(
            "the network of %s is not at %s any more; give it with --backbone net.json"
                .formatted(file, network));
      }
    }
    return new ModelFile(model, readBackbone(network));
  }

  static LinearisedModel read(Path file) throws IOException {
    requireFile(file, "a model that lqf tune wrote");
    return LinearisedModel.read(file);
  }

  static Backbone readBackbone(Path graph) throws IOException {
    requireFile(graph, "the graph JSON of a network");
    return Backbone.read(graph);
  }

  static TrainableNetwork readTrainable(Path graph) throws IOException {
    requireFile(graph, "the graph JSON of a network");
    return TrainableNetwork.read(graph);
  }

  private static void requireFile(Path file, String expected) throws IOException {
    if (!Files.isRegularFile(file)) {
      throw new IOException(
          "%s: expected %s, found %s"
              .formatted(file, expected, Files.isDirectory(file) ? "a folder" : "nothing"));
    }
  }

  /** Where a model says that its network lies. */
  static Path hinted(Path file, LinearisedModel model) throws IOException {
    try {
      return OutputFile.folder(file).resolve(model.origin().backboneHint()).normalize();
    } catch (InvalidPathException e) {
      throw new IOException(
          "%s says that its network is at \"%s\", which is no path; give it with --backbone net.json"
              .formatted(file, model.origin().backboneHint()),
          e);
    }
  }

  /** The way from the folder of a model to a graph, for the model's file. */
  static String hint(Path file, Path graph) throws IOException {
    Path name = graph.getFileName();
    Path folder = OutputFile.folder(graph).toRealPath(); // the weights lie beside the link's target
    Path from = OutputFile.folder(file).toRealPath();
    return from.relativize(folder.resolve(name == null ? Path.of("") : name)).toString();
  }
}
