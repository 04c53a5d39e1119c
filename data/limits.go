package data

// Limits on what a file may ask for. They are far above any real data set and keep a hostile file from taking all memory.
const (
	maxSide        = 1 << 14 // pixels a side of any sample
	maxRecords     = 1 << 17 // samples in one CIFAR or IDX split; 60,000 in the real ones
	maxIDXBytes    = 1 << 30 // pixels of one IDX file
	maxImagePixels = 1 << 26 // of one photo; decoding takes up to 32 bytes for one
	maxImageFile   = 1 << 28 // bytes of one photo's file
	maxScans       = 1 << 8  // of one JPEG, each of which may go over all pixels again; cameras and tools write up to about ten
	maxTextBytes   = 1 << 22 // bytes of a list of names or labels
	maxFiles       = 1 << 22 // photos of one split
	maxClasses     = 1 << 16
	maxBatch       = 1 << 16
	maxElements    = 1 << 30 // of the pixels of one batch

	// What few bytes may stand for.
	maxPacking   = 1 << 13 // pixels for one byte of a photo's file: a 1-bit PNG at deflate's best is just below
	freePixels   = 1 << 22 // of a photo, up to which nothing else is asked; an empty page is lawful
	maxSparse    = 1 << 10 // pixels for one byte of a photo's file above that; real photos have below 100
	freeUnpacked = 1 << 24 // bytes unpacked from gzip or bzip2, up to which nothing is asked
	maxUnpacking = 1 << 8  // bytes unpacked from one above that; images have below 10
)
