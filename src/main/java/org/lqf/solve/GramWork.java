package org.lqf.solve;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.lqf.engine.Plan;
import org.lqf.model.Backbone;
import org.lqf.model.Macs;
import org.lqf.model.ParameterBlock;

/**
 * What a {@link GramMatrix} and its factorisation cost, counted before there is one. The constants
 * are what was seen, about, on one processor with AVX-512 and AMX for ResNet-18 and -20.
 *
 * @param network multiply-adds of forward passes and of walks back, and others that take as long as
 *     so many of these: at the pace of convolutions
 * @param products multiply-adds of rows of J with each other, and reading rows likewise: at the
 *     pace of products, which a matrix unit may take
 */
public record GramWork(double network, double products) {

  private static final double WRITTEN = 64; // multiply-adds of the network, a float of a row of J
  private static final double READ = 32; // multiply-adds of a product, a float of its rows

  /** Of the network, a multiply-add in double: half as many at once, and Winograd saves none. */
  private static final double DOUBLE = 4;

  /**
   * Counts what K of so many images costs.
   *
   * @param network with its head
   * @param linearised names of its layers
   * @param batch images that the plan will take at most
   */
  public static GramWork of(Backbone network, Set<String> linearised, long images, int batch) {
    int classes = network.outputShape().channels();
    long parameters = network.parameters();
    Map<String, Double> macs = Macs.byLayer(network);
    double forward = Macs.of(network);
    List<GramMatrix.Part> parts =
        GramMatrix.parts(
            network,
            linearised,
            network.balancedHead(),
            GramMatrix.most(images * classes, parameters));
    long piece = Math.min(images, batch);
    for (GramMatrix.Part part : parts) {
      piece = Math.min(piece, GramMatrix.tile(part, images, batch, classes, parameters));
    }
    boolean once = piece == images; // a forward pass does for all walks back
    double walks = once ? images * forward : 0;
    double products = 0;
    for (GramMatrix.Part part : parts) {
      long tile = GramMatrix.tile(part, images, batch, classes, parameters) / piece * piece;
      double tiles = Math.ceil((double) images / tile);
      double computed = 0; // tiles, those that are computed anew too
      for (int first = 0; first < tiles; first += GramMatrix.HELD) {
        computed += tiles - first;
      }
      double row = back(network, macs, linearised, part.columns()) + WRITTEN * part.length();
      walks += computed / tiles * images * (part.classes() * row + (once ? 0 : forward));
      products += products(images * part.classes(), part.length(), tiles);
    }
    double factorisation = Math.pow((double) images * classes, 3) / 6;
    return new GramWork(walks + DOUBLE * factorisation, products);
  }

  /** {@link #products} of so many rows, all with each other, where each pair of tiles is read. */
  public static double products(long rows, long length, double tiles) {
    return length * ((double) rows * rows / 2 + READ * rows * (tiles + 1));
  }

  /** All of it, where the pace of a machine must not matter. */
  public double multiplyAdds() {
    return network + products;
  }

  /** Multiply-adds from the end back to a part, for one row: data gradients, and its own. */
  private static double back(
      Backbone network, Map<String, Double> macs, Set<String> linearised, Plan.Columns part) {
    double sum = 0;
    boolean behind = false; // the part's first layer
    for (ParameterBlock block : network.blocks()) {
      double layer = macs.getOrDefault(block.node(), 0.0);
      boolean own =
          linearised.contains(block.node())
              && block.weightOffset() >= part.first()
              && block.end() <= part.first() + part.length();
      sum += (behind ? layer : 0) + (own ? layer : 0);
      behind |= own;
    }
    return sum;
  }
}
