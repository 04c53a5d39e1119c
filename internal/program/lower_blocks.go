package program

import (
	"errors"
	"fmt"

	"github.com/dms-go/dms/internal/conv"
	"github.com/dms-go/dms/ir"
)

// lowerConvTranspose is the gradient of a convolution with respect to its data.
func lowerConvTranspose(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	w, err := b.in(n, 1)
	if err != nil {
		return err
	}
	a, err := ir.ConvTransposeOf(n, ir.Fixed(b.val(x).logical()...), ir.Fixed(b.val(w).logical()...))
	if err != nil {
		return err
	}
	sizes, err := b.sizes(n.Outputs[0])
	if err != nil {
		return err
	}
	x, xs, err := b.image(x)
	if err != nil {
		return err
	}
	w, ws, err := b.image(w)
	if err != nil {
		return err
	}
	// The convolution goes from this node's output to its input.
	s := conv.Shape{N: xs[0], H: 1, C: sizes[1], O: xs[3], KH: ws[1], KW: ws[2], Group: a.Group}
	s.H, s.W = pair(sizes[2:], 1)
	s.StrideH, s.StrideW = pair(a.Strides, 1)
	s.DilH, s.DilW = pair(a.Dilations, 1)
	s.PadTop, s.PadLeft = pair(a.Begin, 0)
	s.PadBottom, s.PadRight = pair(a.End, 0)
	s.OH, s.OW = s.Out()
	if s.C != ws[3]*s.Group || s.O != ws[0] || s.O%s.Group != 0 {
		return fmt.Errorf("%d channels, a kernel of %d by %d and %d groups do not fit", s.O, ws[0], ws[3], s.Group)
	}
	if s.OH != xs[1] || s.OW != xs[2] {
		return fmt.Errorf("pads %v %v and output_padding %v reach beyond what the kernels write, which is not supported", a.Begin, a.End, a.More)
	}
	layout := channelsLast(len(sizes))
	out, err := b.result(n, 0, layout)
	if err != nil {
		return err
	}
	if n.Input(2) == "" {
		b.emit(ConvData, ConvAttr{Shape: s}, []ID{out}, []ID{x, w})
		return nil
	}
	bias, err := b.in(n, 2)
	if err != nil {
		return err
	}
	if b.val(bias).Len() != s.C {
		return fmt.Errorf("%d channels and a bias of shape %v", s.C, b.val(bias).Shape)
	}
	plain := b.temp(n.Outputs[0], b.val(out).Shape, layout)
	b.emit(ConvData, ConvAttr{Shape: s}, []ID{plain}, []ID{x, w})
	channel := append(ones(len(sizes)-1), s.C)
	b.emit(Binary, BinaryAttr{"add"}, []ID{out}, []ID{plain, b.view(bias, channel, nil)})
	return nil
}

// lowerTile repeats each axis beside one of size one.
func lowerTile(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	x = b.rowMajor(x)
	s := b.val(x).Shape
	sizes, err := b.sizes(n.Outputs[0])
	if err != nil {
		return err
	}
	var from, to []int
	for i, size := range s {
		from, to = append(from, 1, size), append(to, sizes[i]/size, size)
	}
	b.value[n.Outputs[0]] = b.view(b.spread(b.view(x, from, nil), to), sizes, nil)
	return nil
}

// lowerDepthToSpace: channels-last, (N, H, W, parts of C) becomes (N, H, block, W, block, C).
func lowerDepthToSpace(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	k, err := ir.BlockSize(n)
	if err != nil {
		return err
	}
	x = b.arrange(x, channelsLast(4))
	s := b.val(x).Shape
	c := s[3] / (k * k)
	if n.Attrs.Str("mode", "DCR") == "DCR" {
		x = b.turn(b.view(x, []int{s[0], s[1], s[2], k, k, c}, nil), []int{0, 1, 3, 2, 4, 5})
	} else {
		x = b.turn(b.view(x, []int{s[0], s[1], s[2], c, k, k}, nil), []int{0, 1, 4, 2, 5, 3})
	}
	return b.asImage(n, x)
}

// lowerSpaceToDepth is the way back of DepthToSpace.
func lowerSpaceToDepth(b *builder, n *ir.Node) error {
	x, err := b.in(n, 0)
	if err != nil {
		return err
	}
	k, err := ir.BlockSize(n)
	if err != nil {
		return err
	}
	x = b.arrange(x, channelsLast(4))
	s := b.val(x).Shape
	if s[1]%k != 0 || s[2]%k != 0 {
		return errors.New("blocks do not divide the image")
	}
	return b.asImage(n, b.turn(b.view(x, []int{s[0], s[1] / k, k, s[2] / k, k, s[3]}, nil), []int{0, 1, 3, 2, 4, 5}))
}
