package data

// Limits on what a file may ask for. They are far above any real data set and keep a hostile file from taking all memory.
const (
	maxSide        = 1 << 14 // pixels a side of any image
	maxRecords     = 1 << 17 // samples in one CIFAR or IDX split; 60,000 in the real ones
	maxIDXBytes    = 1 << 30 // pixels of one IDX file
	maxImagePixels = 1 << 26 // of one photo
	maxImageFile   = 1 << 28 // bytes of one photo's file
	maxPacking     = 1 << 13 // pixels that one byte of a photo's file can stand for: a 1-bit PNG at deflate's best is just below
	maxTextBytes   = 1 << 22 // bytes of a list of names or labels
	maxFiles       = 1 << 22 // photos of one split
	maxClasses     = 1 << 16
	maxBatch       = 1 << 16
	maxElements    = 1 << 30 // of the pixels of one batch
)
